import type { Places } from '../pauses.ts'

/** The places at which the run of a report and its callback can be paused, in the order of their steps. */
export const places = {
  counted: { table: 'momt_reports', operation: 'update', when: "new.stage = 'count_mt' and new.cursor_id > 0" },
  countCommits: {
    ...{ table: 'momt_reports', operation: 'update', atCommit: true },
    when: "old.stage like 'count%' and new.stage = 'mt'",
  },
  partAdded: { table: 'momt_report_parts', operation: 'insert', when: 'new.part_number = 3' },
  partCommits: { table: 'momt_report_parts', operation: 'insert', when: 'new.part_number = 3', atCommit: true },
  /** The file is finished in its store. */
  completed: {
    table: 'momt_reports',
    operation: 'update',
    when: 'new.counts_calculated and not old.counts_calculated',
  },
  calledBack: { table: 'event_outbox', operation: 'insert', when: "new.type = 'momt_report'" },
  completionCommits: {
    ...{ table: 'momt_reports', operation: 'update', atCommit: true },
    when: 'new.counts_calculated and not old.counts_calculated',
  },
  fanOut: { table: 'deliveries', operation: 'insert' },
  callbackMarked: { table: 'deliveries', operation: 'delete' },
  callbackMarkCommits: { table: 'deliveries', operation: 'delete', atCommit: true },
} satisfies Places

export type PlaceName = keyof typeof places
