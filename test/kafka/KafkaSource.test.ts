/** Topics of Kafka as a source, on a cluster of its own. */
import { brokerSourceContract } from "../support/brokerSourceContract.ts"
import { layerReadable } from "../support/kafka.ts"
import { missing } from "../support/kafkaCluster.ts"

brokerSourceContract("a topic of Kafka", layerReadable, { missing })
