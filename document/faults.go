package document

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Fault is something wrong with a document.
type Fault struct {
	Problem      Problem
	Path         string   // of the value; of its mapping when a key is missing, there twice, or not known
	Key          string   // the key that is missing, there twice, or not known
	Known        []string // Unknown: the keys that are known
	Want         string   // Mismatch: what the value should be
	Got          Value    // Mismatch: the value
	Text         string   // Other
	Line, Column int      // from 1; 0 where a fault is not about a place in a file
}

// Problem is what a Fault is about.
type Problem int

// The problems.
const (
	Other     Problem = iota
	Mismatch          // a value of another kind
	Missing           // a key that must be there
	Duplicate         // a key that is there twice
	Unknown           // a key that means nothing
)

// What a Fault may want. Callers of Value.Mismatch may want other things.
const (
	WantText    = "a string"
	WantTruth   = "true or false"
	WantWhole   = "a whole number"
	WantList    = "a list"
	WantMapping = "a mapping"
	WantKey     = "text as keys"
)

// Faults collects what is wrong with a document, or with a value that code made and a document
// could have held. The zero value is ready. It is for one goroutine.
type Faults struct {
	Words func(Fault) string // words a fault; nil: Words
	found []Fault
}

// Add adds a fault of the value at path.
func (f *Faults) Add(path, format string, args ...any) {
	f.found = append(f.found, Fault{Path: path, Text: fmt.Sprintf(format, args...)})
}

// Len returns how many faults there are.
func (f *Faults) Len() int { return len(f.found) }

// Concern reports whether there is a fault of the value at path.
func (f *Faults) Concern(path string) bool {
	return slices.ContainsFunc(f.found, func(fault Fault) bool { return fault.Path == path })
}

// Err returns all faults as one error, one a line, and nil when there are none.
func (f *Faults) Err() error {
	if len(f.found) == 0 {
		return nil
	}
	words := f.Words
	if words == nil {
		words = Words
	}
	var lines []string
	for _, fault := range f.found {
		lines = append(lines, words(fault))
	}
	return errors.New(strings.Join(lines, "\n"))
}

// Words words a fault: path, what is wanted, what was found.
//
//	allOf[0].annotations["dev.example/count"]: want a string, got the number 3; write "3" in quotes
func Words(f Fault) string {
	path, text := f.Path, f.Text
	switch f.Problem {
	case Mismatch:
		text = "want " + f.Want + ", got " + f.Got.Describe()
		if kind := f.Got.Kind(); f.Want == WantText && (kind == Number || kind == Truth) {
			text += fmt.Sprintf("; write %q in quotes", f.Got.node.Value)
		}
	case Missing:
		path, text = Join(path, f.Key), "missing"
	case Duplicate:
		path, text = Join(path, f.Key), "duplicate key"
	case Unknown:
		path, text = Join(path, f.Key), "unknown field; known: "+strings.Join(f.Known, ", ")
	}
	if path == "" {
		return text
	}
	return path + ": " + text
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// Join returns the path of a member of the mapping at path.
func Join(path, key string) string {
	switch {
	case path == "" && key == "":
		return `""`
	case path == "":
		return key
	case !plainKey.MatchString(key):
		return fmt.Sprintf("%s[%q]", path, key)
	}
	return path + "." + key
}

// Element returns the path of item i of the list at path.
func Element(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
