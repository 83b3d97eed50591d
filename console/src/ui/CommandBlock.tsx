import { Box, Button, Code, CopyButton } from '@mantine/core'

/** Shows a shell command with a button that copies it. */
export function CommandBlock({ command, label }: { command: string; label: string }) {
  return (
    <Box pos="relative">
      <Code block pr={90} style={{ whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' }}>
        {command}
      </Code>
      <CopyButton value={command}>
        {({ copied, copy }) => (
          <Button
            pos="absolute"
            top={6}
            right={6}
            size="compact-xs"
            variant="default"
            onClick={copy}
            aria-label={`Copy the command of step ${label}`}
          >
            {copied ? 'Copied' : 'Copy'}
          </Button>
        )}
      </CopyButton>
    </Box>
  )
}
