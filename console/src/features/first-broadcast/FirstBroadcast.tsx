import { Card, List, Stack, Text, Title } from '@mantine/core'
import { CommandBlock } from '../../ui/CommandBlock.tsx'
import { firstBroadcastSteps } from './steps.ts'

/** Shows the four commands from an empty installation to a delivered text, with copy buttons. */
export function FirstBroadcast({ origin, mode }: { origin: string; mode: 'sandbox' | 'production' | undefined }) {
  return (
    <Card withBorder padding="lg" component="section" aria-labelledby="first-broadcast-title">
      <Stack gap="md">
        <Title order={2} size="h3" id="first-broadcast-title">
          Your first broadcast
        </Title>
        {mode === 'production' && (
          <Text fw={600}>This Carillon is in production mode: use your own number, because the text will arrive.</Text>
        )}
        <List type="ordered" spacing="lg" listStyleType="none" withPadding={false}>
          {firstBroadcastSteps(origin).map((step) => (
            <List.Item key={step.title} styles={{ itemWrapper: { display: 'block' }, itemLabel: { display: 'block' } }}>
              <Text mb={6}>{step.title}</Text>
              <CommandBlock command={step.command} label={step.title} />
            </List.Item>
          ))}
        </List>
      </Stack>
    </Card>
  )
}
