package admission

import (
	"math"
	"strconv"

	"policy-server/jsontext"
)

// Answer is what a guest says about a request.
type Answer struct {
	Accepted         bool
	Message          *string
	Code             *int32 // 0–65535
	MutatedObject    []byte // the whole new object as the guest wrote it; nil when it changed nothing
	AuditAnnotations map[string]string
	Warnings         []string
}

// ParseAnswer reads a guest's answer to validate:
//
//	{"accepted": bool, "message": string?, "code": 0–65535?, "mutated_object": any?,
//	 "audit_annotations": {string: string}?, "warnings": [string]?}
//
// null means absent, unknown members are ignored. MutatedObject aliases data. Errors: *SyntaxError,
// *ShapeError.
func ParseAnswer(data []byte) (Answer, error) {
	var answer Answer
	s := jsontext.NewScanner(data)
	if err := record(s, "struct ValidationResponse", &answer, answerSchema); err != nil {
		return Answer{}, err
	}
	return answer, s.End()
}

var answerSchema = []field[Answer]{
	{"accepted", true, func(s *jsontext.Scanner, a *Answer) error { return readBool(s, &a.Accepted) }},
	{"message", false, func(s *jsontext.Scanner, a *Answer) error { return readString(s, &a.Message) }},
	{"code", false, func(s *jsontext.Scanner, a *Answer) error { return readCode(s, &a.Code) }},
	{"mutated_object", false, func(s *jsontext.Scanner, a *Answer) (err error) { a.MutatedObject, err = s.Optional(); return }},
	{"audit_annotations", false, func(s *jsontext.Scanner, a *Answer) error { return readStringMap(s, &a.AuditAnnotations) }},
	{"warnings", false, func(s *jsontext.Scanner, a *Answer) error { return readStrings(s, &a.Warnings) }},
}

// SettingsAnswer is what a guest says about its settings.
type SettingsAnswer struct {
	Valid   bool
	Message *string
}

// ParseSettingsAnswer reads a guest's answer to validate_settings: {"valid": bool, "message":
// string?}.
func ParseSettingsAnswer(data []byte) (SettingsAnswer, error) {
	var answer SettingsAnswer
	s := jsontext.NewScanner(data)
	if err := record(s, "struct SettingsValidationResponse", &answer, settingsAnswerSchema); err != nil {
		return SettingsAnswer{}, err
	}
	return answer, s.End()
}

var settingsAnswerSchema = []field[SettingsAnswer]{
	{"valid", true, func(s *jsontext.Scanner, a *SettingsAnswer) error { return readBool(s, &a.Valid) }},
	{"message", false, func(s *jsontext.Scanner, a *SettingsAnswer) error { return readString(s, &a.Message) }},
}

func readBool(s *jsontext.Scanner, to *bool) error {
	raw, err := s.RequiredBool()
	if err == nil {
		*to = raw[0] == 't'
	}
	return err
}

func readString(s *jsontext.Scanner, to **string) error {
	raw, err := s.OptionalString()
	if err == nil && raw != nil {
		text := jsontext.Unquote(raw)
		*to = &text
	}
	return err
}

func readCode(s *jsontext.Scanner, to **int32) error {
	if null, err := s.Null(); null || err != nil {
		return err
	}
	if c := s.Peek(); c != '-' && !jsontext.IsDigit(c) {
		return s.Mistyped("u16")
	}
	raw, err := s.Value()
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(string(raw), 10, 16)
	if err != nil {
		return s.Shape("invalid value: `%s`, expected an integer from 0 to %d", raw[:min(len(raw), 64)], math.MaxUint16)
	}
	code := int32(n)
	*to = &code
	return nil
}

func readStrings(s *jsontext.Scanner, to *[]string) error {
	if null, err := s.Null(); null || err != nil {
		return err
	}
	*to = []string{}
	return s.Strings(func(raw []byte) { *to = append(*to, jsontext.Unquote(raw)) })
}

func readStringMap(s *jsontext.Scanner, to *map[string]string) error {
	if null, err := s.Null(); null || err != nil {
		return err
	}
	*to = map[string]string{}
	return s.Members(func(name string) error {
		raw, err := s.RequiredString()
		if err == nil {
			(*to)[name] = jsontext.Unquote(raw)
		}
		return err
	})
}
