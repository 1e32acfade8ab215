package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// object is a JSON object whose keys are compared exactly; encoding/json ignores their case when it fills a struct.
type object map[string]json.RawMessage

// decodeObject reads text as a JSON object.
func decodeObject(text []byte) (o object, err error) {
	err = json.Unmarshal(text, &o)
	return o, err
}

// UnmarshalJSON makes a null where an object belongs an error, as it is for the other types here.
func (o *object) UnmarshalJSON(text []byte) error {
	type plain object
	if err := json.Unmarshal(text, (*plain)(o)); err != nil {
		return err
	}
	if *o == nil {
		return errNull
	}
	return nil
}

// require decodes the value under key, which must be there and not null, into target.
func (o object) require(key string, target any) error {
	raw, ok := o[key]
	if !ok {
		return fmt.Errorf("missing field `%s`", key)
	}
	if isNull(raw) {
		return fmt.Errorf("field `%s`: %w", key, errNull)
	}
	return o.accept(key, target)
}

// accept decodes the value under key into target, unless it is absent or null.
func (o object) accept(key string, target any) error {
	raw, ok := o[key]
	if !ok || isNull(raw) {
		return nil
	}
	if err := json.Unmarshal(raw, target); err != nil {
		return fmt.Errorf("field `%s`: %w", key, err)
	}
	return nil
}

func isNull(raw json.RawMessage) bool { return bytes.Equal(raw, []byte("null")) }

// errNull is why a null is refused where a value belongs; encoding/json would read it as an empty one.
var errNull = errors.New("null; want a value")

// text is a JSON string that is not null, also as an element.
type text string

func (s *text) UnmarshalJSON(raw []byte) error {
	if isNull(raw) {
		return errNull
	}
	return json.Unmarshal(raw, (*string)(s))
}

// octets are bytes as guests write them: an array of numbers from 0 to 255. A []byte would be read from base64.
type octets []byte

func (b *octets) UnmarshalJSON(raw []byte) error {
	var numbers []json.RawMessage
	if err := json.Unmarshal(raw, &numbers); err != nil {
		return err
	}
	if numbers == nil {
		return errNull
	}
	*b = make(octets, len(numbers))
	for i, number := range numbers {
		n, err := strconv.ParseUint(string(number), 10, 8)
		if err != nil {
			return fmt.Errorf("element %d: %.20s; want a number from 0 to 255", i, number)
		}
		(*b)[i] = byte(n)
	}
	return nil
}
