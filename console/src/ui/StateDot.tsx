import { Box, type BoxProps } from '@mantine/core'

const colors = {
  good: 'var(--mantine-color-teal-6)',
  waiting: 'var(--mantine-color-yellow-6)',
  bad: 'var(--mantine-color-red-6)',
}

/** Shows a colored dot; it is decorative, because the label next to it has the same information. */
export function StateDot({ tone, size, ...rest }: BoxProps & { tone: keyof typeof colors; size: number }) {
  return (
    <Box aria-hidden w={size} h={size} bg={colors[tone]} {...rest} style={{ borderRadius: '50%', flexShrink: 0 }} />
  )
}
