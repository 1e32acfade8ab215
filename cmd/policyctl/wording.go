package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"unicode"
)

// saidf makes an error in the words that scripts written for kwctl look for, capitals included.
func saidf(format string, args ...any) error { return fmt.Errorf(format, args...) }

// system returns what the operating system said, capitalised as everywhere but in Go: scripts look
// for "No such file or directory". The name of the file is left to the message around it.
func system(err error) error {
	var number syscall.Errno
	if !errors.As(err, &number) {
		return err
	}
	text := number.Error()
	return systemError{strings.ToUpper(text[:1]) + text[1:], err}
}

type systemError struct {
	text string
	err  error
}

func (e systemError) Error() string { return e.text }
func (e systemError) Unwrap() error { return e.err }

// printable keeps what the author of a policy wrote from moving the cursor or changing what the
// terminal shows.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
