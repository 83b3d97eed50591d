import { englishDataset, englishRecommendedTransformers, RegExpMatcher } from 'obscenity'

// what the list takes for something else
const food = ['cumin', 'shiitake']

let matcher: RegExpMatcher | undefined

/** Whether a keyword is, or contains, an obscene English word, also in the spelling of those who mean to get past us. */
export function isObscene(name: string): boolean {
  matcher ??= makeMatcher()
  return matcher.hasMatch(name)
}

function makeMatcher(): RegExpMatcher {
  const { blacklistedTerms, whitelistedTerms = [] } = englishDataset.build()
  return new RegExpMatcher({
    blacklistedTerms,
    whitelistedTerms: [...whitelistedTerms, ...food],
    ...englishRecommendedTransformers,
  })
}
