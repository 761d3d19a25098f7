/** How long calls to a destination take, the latest counting most. */
export class Pace {
  /** Of one call. A destination of which nothing is known yet is taken for a slow one. */
  millis = 10

  took(millis: number): void {
    this.millis += (Math.max(millis, 0.01) - this.millis) * 0.1
  }
}
