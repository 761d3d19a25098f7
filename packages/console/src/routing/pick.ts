/** The parameters of a route that a question takes, without those that are empty. */
export const pick = <const Name extends string>(
  query: Readonly<Record<string, string>>,
  names: ReadonlyArray<Name>
): { readonly [N in Name]?: string } =>
  Object.fromEntries(names.flatMap((name) => {
    const value = query[name]
    return value === undefined || value === "" ? [] : [[name, value]]
  })) as { readonly [N in Name]?: string }

export const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
