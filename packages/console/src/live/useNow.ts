/** The time, for ages that grow while one looks; once a second, and not while nobody looks. */
import { useEffect, useState } from "react"
import { useAttention } from "./attention.ts"

export const useNow = (): number => {
  const [now, setNow] = useState(() => Date.now())
  const attention = useAttention()
  useEffect(() => {
    if (!attention) return
    setNow(Date.now())
    const timer = setInterval(() => setNow(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [attention])
  return now
}
