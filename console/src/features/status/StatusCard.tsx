import { Box, Card, Divider, Group, Stack, Text, Title } from '@mantine/core'
import { StateDot } from '../../ui/StateDot.tsx'
import { type CheckName, checkLabels, describeStatus, type Status } from './status.ts'

/** Shows the status in one sentence, and the check of each process. */
export function StatusCard({ status }: { status: Status }) {
  const { tone, title, detail } = describeStatus(status)
  return (
    <Card withBorder padding="lg" component="section" aria-labelledby="status-title">
      <Group wrap="nowrap" align="flex-start" gap="md" aria-live="polite">
        <StateDot tone={tone} size={14} mt={9} />
        <Box>
          <Title order={2} size="h3" id="status-title">
            {title}
          </Title>
          <Text c="dimmed">{detail}</Text>
        </Box>
      </Group>
      {status.kind === 'known' && (
        <>
          <Divider my="md" />
          <Stack gap="sm" component="ul" p={0} m={0} style={{ listStyle: 'none' }}>
            {(Object.keys(checkLabels) as CheckName[]).map((name) => (
              <Check key={name} name={name} up={status.checks[name]} />
            ))}
          </Stack>
        </>
      )}
    </Card>
  )
}

function Check({ name, up }: { name: CheckName; up: boolean }) {
  const labels = checkLabels[name]
  return (
    <Group component="li" wrap="nowrap" align="flex-start" gap="md">
      <StateDot tone={up ? 'good' : 'bad'} size={10} mt={7} mx={2} />
      <Text fw={600} w={90} style={{ flexShrink: 0 }}>
        {labels.name}
      </Text>
      <Text>{up ? labels.up : labels.down}</Text>
    </Group>
  )
}
