package usage

import "errors"

// errTwice is why a second value is refused; FlagError words it.
var errTwice = errors.New("given more than once")

// Value is what a flag holds that may be given once, so that a script never has to guess which of
// two counts. It is a pflag.Value; make it with the default as Text.
type Value struct {
	Text        string
	Given       bool
	Placeholder string // of the value in the help; "" for a switch
}

// String returns the text.
func (v *Value) String() string { return v.Text }

// Type returns the placeholder, or the word by which pflag knows a switch.
func (v *Value) Type() string {
	if v.Placeholder == "" {
		return "bool" // pflag then shows no value in the help
	}
	return v.Placeholder
}

// Set takes the text of the command line, once.
func (v *Value) Set(text string) error {
	if v.Given {
		return errTwice
	}
	v.Text, v.Given = text, true
	return nil
}

// IsBoolFlag lets pflag accept a switch without a value.
func (v *Value) IsBoolFlag() bool { return v.Placeholder == "" }
