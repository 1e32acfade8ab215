package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// object is a JSON object whose keys are compared exactly; encoding/json ignores their case when it
// fills a struct.
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

// errNull is why a null is refused where a value belongs; encoding/json would read it as an empty
// one.
var errNull = errors.New("null; want a value")

// text is a JSON string that is not null, also as an element.
type text string

func (s *text) UnmarshalJSON(raw []byte) error {
	if isNull(raw) {
		return errNull
	}
	return json.Unmarshal(raw, (*string)(s))
}
