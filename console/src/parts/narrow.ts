/** Whether the window is as narrow as a phone's; style/*.css has the same width. */
import { useEffect, useState } from "preact/hooks";

const NARROW = matchMedia("(max-width: 760px)");

export function useNarrow(): boolean {
  const [isNarrow, setNarrow] = useState(NARROW.matches);
  useEffect(() => {
    const change = (): void => setNarrow(NARROW.matches);
    NARROW.addEventListener("change", change);
    return () => NARROW.removeEventListener("change", change);
  }, []);
  return isNarrow;
}
