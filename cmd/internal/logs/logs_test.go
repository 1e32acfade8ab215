package logs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"policy-server/cmd/internal/logs"
)

func TestText(t *testing.T) {
	var out bytes.Buffer
	log := logs.New(&out, logs.Text, zapcore.InfoLevel, "policy_server").With(zap.String("host", "h"))
	log.Debug("not seen")
	log.Named("certs").Info("Loaded", zap.Int("added", 2), zap.Bool("ok", true), zap.Duration("took", 1500*time.Microsecond),
		zap.Error(nil), zap.Reflect("set", []string{"a"}))
	log.Error("two\nlines", zap.Error(errors.New("a \"b\"\nc")), zap.ByteString("data", []byte("{}")))
	want := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z  INFO policy_server\.certs: Loaded host="h" added=2 ok=true took="1\.5ms" set=\[a\]
\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z ERROR policy_server: two\\nlines host="h" error="a \\"b\\"\\nc" data="\{\}"
$`)
	if !want.Match(out.Bytes()) {
		t.Errorf("got\n%s", out.String())
	}
}

func TestJSON(t *testing.T) {
	var out bytes.Buffer
	logs.New(&out, logs.JSON, zapcore.DebugLevel, "policy_server").Warn("m", zap.Int32("n", 7), zap.Error(errors.New("e")))
	var event struct {
		Timestamp, Level, Target string
		Fields                   map[string]any
	}
	if err := json.Unmarshal(out.Bytes(), &event); err != nil {
		t.Fatal(err)
	}
	if event.Level != "WARN" || event.Target != "policy_server" || event.Fields["message"] != "m" || event.Fields["n"] != 7.0 || event.Fields["error"] != "e" {
		t.Errorf("got %s", out.String())
	}
	if _, err := time.Parse(time.RFC3339Nano, event.Timestamp); err != nil {
		t.Error(err)
	}
}

// TestLongText holds that one event is not as long as what somebody made up.
func TestLongText(t *testing.T) {
	long := strings.Repeat("\x00", 8<<10-1) + "é" + strings.Repeat("x", 10<<20)
	for _, format := range []logs.Format{logs.Text, logs.JSON} {
		var out bytes.Buffer
		logs.New(&out, format, zapcore.InfoLevel, "t").Warn(long, zap.String("s", long), zap.Error(errors.New(long)), zap.ByteString("b", []byte(long)))
		if want := "[10485762 bytes cut]"; out.Len() > 300<<10 || strings.Count(out.String(), want) != 4 || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%s: %d bytes, %d times %q", format, out.Len(), strings.Count(out.String(), want), want)
		}
	}
}
