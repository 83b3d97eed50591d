// Node fires a timer whose delay is above 2^31 - 1 ms at once, and one whose delay is no number, with a warning only. In tests, such
// a warning is an error, wherever the timer is.

process.on('warning', (warning) => {
  if (/^Timeout(Overflow|NaN)Warning$/.test(warning.name)) throw warning
})
