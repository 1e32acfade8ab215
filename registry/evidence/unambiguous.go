package evidence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// unambiguous refuses a signed document, valid JSON, that says different things to different
// readers. encoding/json takes the last of several members of one name, and takes names for equal
// that differ in case; the reader on whose word something was signed may have taken the first, or
// the exact one.
func unambiguous(document []byte) error {
	return unambiguousValue(json.NewDecoder(bytes.NewReader(document)), folded)
}

// unambiguousValue checks the next value, whose members are the same when comparable says the same
// of their names.
func unambiguousValue(decoder *json.Decoder, comparable func(string) string) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	container, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for decoder.More() {
		below := comparable
		if container == '{' {
			token, err := decoder.Token()
			if err != nil {
				return err
			}
			name := fmt.Sprint(token) // a string
			if seen[comparable(name)] {
				return fmt.Errorf("more than one member %.100q", name)
			}
			seen[comparable(name)] = true
			// In these the names are the signer's own, and are read as they are.
			if slices.Contains([]string{"optional", "annotations", "predicate"}, name) {
				below = strings.Clone
			}
		}
		if err := unambiguousValue(decoder, below); err != nil {
			return err
		}
	}
	_, err = decoder.Token()
	return err
}

// folded returns the same for all names that encoding/json takes for equal.
func folded(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		return least
	}, name)
}
