package hostcalls

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// Bytes is binary data as host calls carry it: a JSON array of numbers from 0 to 255, where
// encoding/json would want base64.
type Bytes []byte

// explainBytes returns why text, which is valid JSON, is no Bytes.
func explainBytes(text []byte) error {
	var numbers []json.RawMessage
	if err := json.Unmarshal(text, &numbers); err != nil {
		return err
	}
	if numbers == nil {
		return errors.New("null; want a value")
	}
	for i, number := range numbers {
		if _, err := strconv.ParseUint(string(number), 10, 8); err != nil {
			return fmt.Errorf("element %d: %.20s; want a number from 0 to 255", i, number)
		}
	}
	return errors.New("not an array of numbers from 0 to 255")
}

// UnmarshalJSON reads the array. null is none: what may be null is a pointer.
func (b *Bytes) UnmarshalJSON(text []byte) error {
	if len(text) < 2 || text[0] != '[' {
		return explainBytes(text)
	}
	data, number, digits := make(Bytes, 0, len(text)/4), 0, 0
	for _, c := range text[1:] { // the decoder has checked the syntax
		switch {
		case '0' <= c && c <= '9':
			if number, digits = number*10+int(c-'0'), digits+1; number > 255 {
				return explainBytes(text)
			}
		case c == ',' || c == ']':
			if digits > 0 {
				data = append(data, byte(number))
			}
			number, digits = 0, 0
		case c != ' ' && c != '\n' && c != '\t' && c != '\r':
			return explainBytes(text)
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
