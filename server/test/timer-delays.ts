// Node fires a timer whose delay is above 2^31 - 1 ms at once, and one whose delay is no number, with a warning only. In tests, such
// a warning is an error, wherever the timer is.

function throwTimerWarning(warning: Error): void {
  if (/^Timeout(Overflow|NaN)Warning$/.test(warning.name)) throw warning
}

// a worker runs this file before each test file
if (!process.listeners('warning').some(({ name }) => name === throwTimerWarning.name)) {
  process.on('warning', throwTimerWarning)
}
