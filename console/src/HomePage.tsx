import { Anchor, Box, Container, Group, Stack, Text, Title } from '@mantine/core'
import { FirstBroadcast } from './features/first-broadcast/FirstBroadcast.tsx'
import { ModeBadge } from './features/status/ModeBadge.tsx'
import { StatusCard } from './features/status/StatusCard.tsx'
import { useStatus } from './features/status/useStatus.ts'
import { Bell } from './ui/Bell.tsx'

/** The only page: the status, the mode and the commands of a first broadcast. */
export function HomePage() {
  const status = useStatus()
  const mode = status.kind === 'known' ? status.mode : undefined
  return (
    <Container size="md" py={{ base: 'lg', sm: 48 }}>
      <Stack gap="xl">
        <Group component="header" justify="space-between" align="center">
          <Group gap="md" wrap="nowrap">
            <Bell size={44} />
            <Box>
              <Title order={1} size="h2" lh={1.2}>
                Carillon
              </Title>
              <Text c="dimmed">Text your lists through your own carrier accounts.</Text>
            </Box>
          </Group>
          {mode && <ModeBadge mode={mode} />}
        </Group>

        <main>
          <Stack gap="xl">
            <StatusCard status={status} />
            <FirstBroadcast origin={window.location.origin} mode={mode} />
          </Stack>
        </main>

        <Group component="footer" gap="lg">
          <Anchor href="/docs">API reference</Anchor>
          <Anchor href="/openapi.json">OpenAPI description</Anchor>
          <Text c="dimmed" size="sm">
            For settings, a real SMPP account and your own PostgreSQL, see README.md in this checkout.
          </Text>
        </Group>
      </Stack>
    </Container>
  )
}
