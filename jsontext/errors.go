package jsontext

import "fmt"

// SyntaxError reports bytes that are not one JSON document.
type SyntaxError struct {
	Path         string // dotted path of the value being read, empty at the root
	Reason       string
	Line, Column int // position after the byte that was wrong, both counted from 1
}

func (e *SyntaxError) Error() string { return located(e.Path, e.Reason, e.Line, e.Column) }

// ShapeError reports a JSON document that is not of the form asked for: a field missing, twice, or
// of the wrong type.
type ShapeError struct {
	Path         string
	Reason       string
	Line, Column int
}

func (e *ShapeError) Error() string { return located(e.Path, e.Reason, e.Line, e.Column) }

func located(path, reason string, line, column int) string {
	if path != "" {
		path += ": "
	}
	return fmt.Sprintf("%s%s at line %d column %d", path, reason, line, column)
}
