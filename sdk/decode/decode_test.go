package decode_test

import (
	"testing"

	"policy-server/sdk"
	"policy-server/sdk/decode"
)

type limits struct {
	CPU  int64             `json:"cpu"`
	Tags map[string]string `json:"tags,omitempty"`
}

func TestInto(t *testing.T) {
	decoders := map[string]func(sdk.Value, any) error{"Into": decode.Into, "Strict": decode.Strict}
	for name, c := range map[string]struct {
		text    string
		want    int64
		refused []string // by which decoders
	}{
		"members":        {`{"cpu":3,"tags":{"a":"b"}}`, 3, nil},
		"missing value":  {``, 7, nil},
		"null":           {`null`, 7, nil},
		"unknown member": {`{"cpu":3,"memory":4}`, 3, []string{"Strict"}},
		"another type":   {`{"cpu":"3"}`, 7, []string{"Into", "Strict"}},
	} {
		for decoder, into := range decoders {
			t.Run(name+"/"+decoder, func(t *testing.T) {
				got := limits{CPU: 7}
				err := into(sdk.JSON(c.text), &got)
				refused := false
				for _, by := range c.refused {
					refused = refused || by == decoder
				}
				if (err != nil) != refused {
					t.Errorf("error is %v, refused %v", err, refused)
				}
				if !refused && got.CPU != c.want {
					t.Errorf("cpu is %d, expected %d", got.CPU, c.want)
				}
			})
		}
	}
}

func TestValue(t *testing.T) {
	got, err := decode.Value(limits{CPU: 3, Tags: map[string]string{"a": "<b>"}})
	if err != nil || !got.Get("tags", "a").Is("<b>") || got.Get("cpu").Raw() != "3" {
		t.Errorf("value is %s, error %v", got, err)
	}
	if _, err := decode.Value(func() {}); err == nil {
		t.Error("a function becomes JSON")
	}
}
