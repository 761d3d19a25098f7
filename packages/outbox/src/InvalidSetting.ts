/** A variable has a value that is not allowed: the start fails with one line that says so. */
import * as Schema from "effect/Schema"

export class InvalidSetting extends Schema.TaggedError<InvalidSetting>()("InvalidSetting", {
  variable: Schema.String,
  value: Schema.String,
  allowed: Schema.String
}) {
  override get message() {
    return `${this.variable} is ${JSON.stringify(this.value)}: allowed is ${this.allowed}`
  }
}
