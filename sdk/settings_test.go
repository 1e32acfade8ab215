package sdk_test

import (
	"errors"
	"sync"
	"testing"

	"policy-server/sdk"
)

func TestSettingsAreParsedOnce(t *testing.T) {
	parsed := 0
	limits := sdk.FromSettings(func(v sdk.Value) (int64, error) {
		parsed++
		n, ok := v.Get("limit").Int()
		if !ok {
			return 0, errors.New("no limit")
		}
		return n, nil
	})
	for i, c := range []struct {
		settings string
		want     int64
		fails    bool
		parsed   int // so far
	}{
		{`{"limit":3}`, 3, false, 1},
		{`{"limit":3}`, 3, false, 1},
		{`{"limit":4}`, 4, false, 2},
		{`{}`, 0, true, 3},
		{`{}`, 0, true, 3},
		{`{"limit":3}`, 3, false, 4},
	} {
		got, err := limits.Of(sdk.JSON(c.settings))
		if got != c.want || (err != nil) != c.fails || parsed != c.parsed {
			t.Errorf("step %d: %d, %v after parsing %d times; expected %d after %d", i, got, err, parsed, c.want, c.parsed)
		}
		if err := limits.Check(sdk.JSON(c.settings)); (err != nil) != c.fails {
			t.Errorf("step %d: check says %v", i, err)
		}
	}
}

func TestSettingsOfAMissingValue(t *testing.T) {
	exists := sdk.FromSettings(func(v sdk.Value) (string, error) { return "parsed " + v.Kind().String(), nil })
	if got, err := exists.Of(sdk.Value{}); got != "parsed missing" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestSettings_hammer(t *testing.T) {
	limits := sdk.FromSettings(func(v sdk.Value) (int64, error) {
		n, _ := v.Get("limit").Int()
		return n, nil
	})
	var readers sync.WaitGroup
	for i := range 8 {
		readers.Go(func() {
			settings, want := sdk.JSON(`{"limit":1}`), int64(1)
			if i%2 == 0 {
				settings, want = sdk.JSON(`{"limit":2}`), 2
			}
			for range 1000 {
				if got, err := limits.Of(settings); got != want || err != nil {
					t.Errorf("limit is %d, %v, expected %d", got, err, want)
					return
				}
			}
		})
	}
	readers.Wait()
}
