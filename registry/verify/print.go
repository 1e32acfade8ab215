package verify

import (
	"fmt"
	"maps"
	"slices"

	"policy-server/document"
)

// printed is a field of an entry as reports print it.
type printed struct {
	key   string
	value document.Value
}

// printEntry returns an entry as YAML text ending in a newline.
func printEntry(kind string, fields ...printed) string {
	pairs := []document.Value{document.NewText("kind"), document.NewText(kind)}
	for _, f := range fields {
		pairs = append(pairs, document.NewText(f.key), f.value)
	}
	text, err := document.NewMapping(pairs...).YAML()
	if err != nil {
		return fmt.Sprintf("(cannot be printed: %v)\n", err)
	}
	return text
}

func printText(text string) document.Value { return document.NewQuotedText(text) }

// printOptional is printText for values that may be absent, which print as null.
func printOptional(text string) document.Value {
	if text == "" {
		return document.NewNull()
	}
	return printText(text)
}

// printAnnotations prints annotations sorted by key; null when there are none.
func printAnnotations(annotations map[string]string) printed {
	if annotations == nil {
		return printed{"annotations", document.NewNull()}
	}
	var pairs []document.Value
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		pairs = append(pairs, printText(key), printText(annotations[key]))
	}
	return printed{"annotations", document.NewMapping(pairs...)}
}
