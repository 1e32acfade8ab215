// Package glob matches texts against patterns with wildcards, as operators write them for names of
// images.
package glob

// Match reports whether the whole of text matches pattern: * stands for any run of bytes, / and :
// included, and ? for any one. There is no way to write these two themselves. The cost grows with
// the product of the lengths at most.
func Match(pattern, text string) bool {
	p, t := 0, 0
	star, retry := -1, 0 // where the last * is, and where the text that it leaves to the rest begins
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, retry = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			retry++
			p, t = star+1, retry
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
