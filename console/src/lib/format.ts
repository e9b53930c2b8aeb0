/** Numbers and times, for people. Pure functions. */

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** 1536000 -> "1.5 MB"; units of 1000. */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

/** 0.073 -> "7 %". */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** Seconds in at most two units: "42 s", "3 min", "2 h 5 min", "4 d". */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86400) {
    const minutes = Math.floor((whole % 3600) / 60);
    return `${Math.floor(whole / 3600)} h${minutes ? ` ${minutes} min` : ""}`;
  }
  return `${Math.floor(whole / 86400)} d`;
}

/** How long ago a time (epoch seconds) was. */
export function ago(time: number, now: number): string {
  return now - time < 2 ? "now" : `${duration(now - time)} ago`;
}

/** "14:05:09". */
export function time24(time: number): string {
  return new Date(time * 1000).toLocaleTimeString(undefined, CLOCK);
}

const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" } as const;

/** The time of the day where it was today, else the date too. */
export function moment(time: number, now: number): string {
  const at = new Date(time * 1000);
  const clock = time24(time);
  if (at.toDateString() === new Date(now * 1000).toDateString()) return clock;
  return `${at.toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" })}, ${clock}`;
}

/** Who writes 1 backend, 2 backends. */
export function count(number: number, noun: string): string {
  return `${number.toLocaleString()} ${noun}${number === 1 ? "" : "s"}`;
}
