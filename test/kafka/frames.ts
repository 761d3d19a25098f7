/**
 * The frames of Kafka's protocol, as far as the proxy in front of the mock cluster reads, changes or answers them. A request has length, API,
 * version, correlation id and client id before what it asks, an answer length and correlation id.
 */

/** A Produce request, as far as tests look at it. */
export interface ProduceRequest {
  readonly transactionalId: string | null
  readonly acks: number
  /** One for each partition of a topic. */
  readonly batches: ReadonlyArray<{
    readonly topic: string
    readonly partition: number
    readonly bytes: number
    readonly producerId: bigint
    /** The number of its first message, of those that the producer has sent to the partition. */
    readonly sequence: number
  }>
}

/** Who is let in with SASL. */
export const login = { username: "zakops", password: "known" }

const produce = 0
const listOffsets = 2
const metadata = 3
const saslHandshake = 17
const apiVersions = 18
const saslAuthenticate = 36

const unknownTopic = 3
const saslAuthenticationFailed = 58

/** A topic that no cluster behind the proxy has, or makes. */
export const missingTopic = "topic.that.is.missing"

/** The newest version of an API that clients get to see. */
const newest = new Map([[listOffsets, 3], [produce, 7]])

/** The frames in a stream of bytes. */
export const framesOf = (take: (frame: Buffer) => void) => {
  let held: Buffer = Buffer.alloc(0)
  return (chunk: Buffer) => {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
    while (held.length >= 4 && held.length >= 4 + held.readInt32BE(0)) {
      const length = 4 + held.readInt32BE(0)
      take(Buffer.from(held.subarray(0, length)))
      held = held.subarray(length)
    }
  }
}

export const apiOf = (request: Buffer) => request.readInt16BE(4)

/** What ties an answer to its request. */
export const correlationOf = (request: Buffer) => request.readInt32BE(8)

/** Changes the broker's answer for its clients: they get to see older versions, and the proxy's port wherever the broker names its own. */
export const edit = (answer: Buffer, api: number | undefined, from: number, to: number) => {
  if (api === apiVersions) capVersions(answer)
  else readdress(answer, from, to)
  if (api === metadata) hideTopic(answer)
}

/** Length, correlation id, error, count, then key, least and greatest version of each API. */
const capVersions = (answer: Buffer) => {
  const count = answer.readInt32BE(10)
  const end = 14 + count * 6
  if (count < 0 || end > answer.length) return
  for (let at = 14; at < end; at += 6) {
    const last = newest.get(answer.readInt16BE(at)) ?? Infinity
    answer.writeInt16BE(Math.min(last, answer.readInt16BE(at + 4)), at + 4)
  }
}

const readdress = (answer: Buffer, from: number, to: number) => {
  const mark = Buffer.alloc(15)
  mark.writeInt16BE(9, 0)
  mark.write("127.0.0.1", 2)
  mark.writeInt32BE(from, 11)
  for (let at = answer.indexOf(mark); at >= 0; at = answer.indexOf(mark, at + 15)) answer.writeInt32BE(to, at + 11)
}

/** Error, length of the name, name: so up to version 8, and the mock cluster knows no newer one. */
const hideTopic = (answer: Buffer) => {
  const name = answer.indexOf(missingTopic)
  if (name >= 0) answer.writeInt16BE(unknownTopic, name - 4)
}

/**
 * A Produce request, or undefined where it is another one. Transactional id, acks and timeout, then the topics with their partitions, each of
 * which has one batch of records.
 */
export const readProduce = (request: Buffer): ProduceRequest | undefined => {
  if (apiOf(request) !== produce) return undefined
  let at = 12
  const skip = (bytes: number) => {
    const begin = at
    at += bytes
    return begin
  }
  const int16 = () => request.readInt16BE(skip(2))
  const int32 = () => request.readInt32BE(skip(4))
  const string = () => {
    const length = int16()
    if (length < 0) return null
    const begin = skip(length)
    return request.toString("utf8", begin, at)
  }
  string()
  const transactionalId = string()
  const acks = int16()
  int32()
  const batches: Array<ProduceRequest["batches"][number]> = []
  for (let topics = int32(); topics > 0; topics--) {
    const topic = string() ?? ""
    for (let partitions = int32(); partitions > 0; partitions--) {
      const partition = int32()
      const bytes = int32()
      const batch = skip(bytes)
      const producerId = request.readBigInt64BE(batch + 43)
      batches.push({ topic, partition, bytes, producerId, sequence: request.readInt32BE(batch + 53) })
    }
  }
  return { transactionalId, acks, batches }
}

const int16 = (value: number) => {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}
const int32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
const string = (text: string) => Buffer.concat([int16(Buffer.byteLength(text)), Buffer.from(text)])

const answer = (request: Buffer, ...parts: ReadonlyArray<Buffer>) => {
  const body = Buffer.concat([request.subarray(8, 12), ...parts])
  return Buffer.concat([int32(body.length), body])
}

/** To a Produce request: topics with partition, error, and -1 for offset, time and first offset; nothing is throttled. */
export const refusal = (request: Buffer, { batches }: ProduceRequest, code: number) => {
  const nothing = Buffer.alloc(24, 0xff)
  const topics = batches.map(({ partition, topic }) =>
    Buffer.concat([string(topic), int32(1), int32(partition), int16(code), nothing])
  )
  return answer(request, int32(batches.length), ...topics, int32(0))
}

/** To what clients say of themselves, or undefined where they do not. */
export const authentication = (request: Buffer): Buffer | undefined => {
  // No error, and one mechanism.
  if (apiOf(request) === saslHandshake) return answer(request, int16(0), int32(1), string("PLAIN"))
  if (apiOf(request) !== saslAuthenticate) return undefined
  // The mock does not name this API, and so clients take version 2, in which a zero comes behind the password: no tags.
  const known = request.includes(`\0${login.username}\0${login.password}\0`)
  const error = int16(known ? 0 : saslAuthenticationFailed)
  // No tags, the error, no message, no bytes, a session without an end, no tags.
  return answer(request, Buffer.of(0), error, Buffer.of(0, 1), Buffer.alloc(8), Buffer.of(0))
}
