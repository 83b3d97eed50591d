import { englishDataset, englishRecommendedTransformers, RegExpMatcher } from 'obscenity'

// harmless words that the dataset matches
const food = ['cumin', 'shiitake']

let matcher: RegExpMatcher | undefined

/** Returns whether a keyword is, or contains, an obscene English word, including in a disguised spelling. */
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
