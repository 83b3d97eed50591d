import type { Db } from './db.ts'

/**
 * Returns the privileges of the database role that Carillon does not need and that would extend a flaw of Carillon to the
 * files and programs of the database server: SUPERUSER and memberships; empty if it has none.
 */
export async function listExcessPrivileges(db: Db): Promise<string[]> {
  const { privileges } = await db.one<{ privileges: string[] }>(
    'list_excess_privileges',
    /* sql */ `
    select case when rolsuper then array['superuser'] else array(
             select rolname::text from pg_roles
              where rolname in ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program')
                and pg_has_role(current_user, oid, 'member')
              order by 1) end as privileges
      from pg_roles where rolname = current_user`,
  )
  return privileges
}
