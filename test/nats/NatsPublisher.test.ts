/** NATS JetStream as a destination, on a server of its own. */
import { brokerPublisherContract } from "../support/brokerPublisherContract.ts"
import { layerBroker, maxPayload, missing } from "../support/nats.ts"

for (const mode of ["structured", "binary"] as const) {
  brokerPublisherContract(`a stream of NATS, ${mode}`, layerBroker(mode), {
    missing,
    refused: "TransportDown",
    unknown: "TransportDown",
    tooLarge: { bytes: maxPayload, said: "Permanent" }
  })
}
