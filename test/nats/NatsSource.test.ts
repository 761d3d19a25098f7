/** A stream of NATS JetStream as a source, on a server of its own. */
import { brokerSourceContract } from "../support/brokerSourceContract.ts"
import { layerReadable, missing } from "../support/nats.ts"

brokerSourceContract("a durable consumer of NATS", layerReadable, { missing })
