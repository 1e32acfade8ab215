package hostcalls

import (
	"errors"
	"strconv"
)

// Bytes is binary data as host calls carry it: a JSON array of numbers from 0 to 255, where encoding/json would want
// base64.
type Bytes []byte

var errNotBytes = errors.New("not an array of numbers from 0 to 255")

// UnmarshalJSON reads the array. null is no bytes.
func (b *Bytes) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*b = nil
		return nil
	}
	if len(text) < 2 || text[0] != '[' {
		return errNotBytes
	}
	data, number, digits := make(Bytes, 0, len(text)/4), 0, 0
	for _, c := range text[1:] { // the decoder has checked the syntax
		switch {
		case '0' <= c && c <= '9':
			if number, digits = number*10+int(c-'0'), digits+1; number > 255 {
				return errNotBytes
			}
		case c == ',' || c == ']':
			if digits > 0 {
				data = append(data, byte(number))
			}
			number, digits = 0, 0
		case c != ' ' && c != '\n' && c != '\t' && c != '\r':
			return errNotBytes
		}
	}
	*b = data
	return nil
}

// MarshalJSON writes the array; no bytes are an empty one.
func (b Bytes) MarshalJSON() ([]byte, error) {
	text := append(make([]byte, 0, 4*len(b)+2), '[')
	for i, c := range b {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendUint(text, uint64(c), 10)
	}
	return append(text, ']'), nil
}
