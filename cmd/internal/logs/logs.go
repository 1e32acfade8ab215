// Package logs makes the loggers of both programs. Its formats are those of the programs they
// replace, because scripts search logs: one event a line, either
//
//	2026-05-21T08:33:56.123456Z  INFO target: message key=value key="text"
//
// or the same as a JSON object. It knows nothing of what is logged.
package logs

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Format is how events are written.
type Format string

// The formats.
const (
	Text Format = "text"
	JSON Format = "json"
)

// New returns a logger named target that writes events of at least level to w, which need not be
// safe for concurrent use.
func New(w io.Writer, format Format, level zapcore.Level, target string) *zap.Logger {
	c := &core{LevelEnabler: level, out: &output{w: w}, encode: appendText}
	if format == JSON {
		c.encode = appendJSON
	}
	return zap.New(c).Named(target)
}

// core writes events; it is a zapcore.Core.
type core struct {
	zapcore.LevelEnabler
	out    *output
	encode func(dst []byte, entry zapcore.Entry, fields []zapcore.Field) []byte
	with   []zapcore.Field
}

type output struct {
	mu sync.Mutex
	w  io.Writer
}

func (c *core) With(fields []zapcore.Field) zapcore.Core {
	clone := *c
	clone.with = append(c.with[:len(c.with):len(c.with)], fields...)
	return &clone
}

func (c *core) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

func (c *core) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	if len(c.with) > 0 {
		fields = append(c.with[:len(c.with):len(c.with)], fields...)
	}
	line := append(c.encode(make([]byte, 0, 512), entry, fields), '\n')
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	_, err := c.out.w.Write(line)
	return err
}

func (c *core) Sync() error { return nil }

const timeFormat = "2006-01-02T15:04:05.000000Z"

func levelName(level zapcore.Level) string {
	switch {
	case level <= zapcore.DebugLevel:
		return "DEBUG"
	case level == zapcore.InfoLevel:
		return "INFO"
	case level == zapcore.WarnLevel:
		return "WARN"
	}
	return "ERROR"
}

func appendText(dst []byte, entry zapcore.Entry, fields []zapcore.Field) []byte {
	dst = entry.Time.UTC().AppendFormat(dst, timeFormat)
	dst = fmt.Appendf(dst, " %5s %s: ", levelName(entry.Level), entry.LoggerName)
	dst = append(dst, oneLine(cut(entry.Message))...)
	for _, f := range fields {
		value, present := valueOf(f)
		if !present {
			continue
		}
		dst = append(append(append(dst, ' '), f.Key...), '=')
		if text, ok := value.(string); ok {
			dst = strconv.AppendQuote(dst, text)
		} else {
			dst = append(dst, oneLine(cut(fmt.Sprint(value)))...)
		}
	}
	return dst
}

// maxText is how many bytes of a text are logged: what guests and clients made up may have
// megabytes, of which each byte may become four.
const maxText = 8 << 10

// cut leaves of a long text its beginning, and says how much is missing.
func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	kept := strings.ToValidUTF8(text[:maxText], "")
	return fmt.Sprintf("%s [%d bytes cut]", kept, len(text)-len(kept))
}

// oneLine keeps what a guest or a client made up from looking like another event.
func oneLine(text string) string {
	for i := range len(text) {
		if text[i] < 0x20 || text[i] == 0x7f {
			quoted := strconv.Quote(text)
			return quoted[1 : len(quoted)-1]
		}
	}
	return text
}

func appendJSON(dst []byte, entry zapcore.Entry, fields []zapcore.Field) []byte {
	values := map[string]any{"message": cut(entry.Message)}
	for _, f := range fields {
		if value, present := valueOf(f); present {
			values[f.Key] = value
		}
	}
	line, err := json.Marshal(struct {
		Timestamp string         `json:"timestamp"`
		Level     string         `json:"level"`
		Fields    map[string]any `json:"fields"`
		Target    string         `json:"target"`
	}{entry.Time.UTC().Format(timeFormat), levelName(entry.Level), values, entry.LoggerName})
	if err != nil {
		return fmt.Appendf(dst, `{"level":"ERROR","fields":{"message":"event cannot be written as JSON","error":%q}}`, err)
	}
	return append(dst, line...)
}

// valueOf returns the value of a field, cut when it is a long text; false for a field that holds
// nothing, such as a nil error.
func valueOf(f zapcore.Field) (any, bool) {
	value, present := wholeValueOf(f)
	if text, isText := value.(string); isText {
		value = cut(text)
	}
	return value, present
}

// wholeValueOf returns the value of a field as text, number, boolean, or whatever zap makes of it.
func wholeValueOf(f zapcore.Field) (any, bool) {
	switch f.Type {
	case zapcore.SkipType:
		return nil, false
	case zapcore.StringType:
		return f.String, true
	case zapcore.BoolType:
		return f.Integer == 1, true
	case zapcore.Int64Type, zapcore.Int32Type, zapcore.Int16Type, zapcore.Int8Type:
		return f.Integer, true
	case zapcore.DurationType:
		return time.Duration(f.Integer).String(), true
	case zapcore.ErrorType:
		return f.Interface.(error).Error(), true
	}
	encoder := zapcore.NewMapObjectEncoder()
	f.AddTo(encoder)
	value, ok := encoder.Fields[f.Key]
	return value, ok
}
