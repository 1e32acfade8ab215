package hostcalls

import (
	"encoding/json"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// tracing/log is the one capability that needs no grant, so what it may cost is bounded here: lines
// an evaluation, and bytes a line. A policy that needs more is writing a document, not a log.
const (
	maxLogLines = 100
	maxLogBytes = 8 << 10
)

// guestLog counts the lines an evaluation may still write.
type guestLog struct{ left int }

// write answers tracing/log.
//
//	request:  {"level": "trace|debug|info|warning|error", "message": string?, …anything else}
//	response: empty, always
//
// Other members become the field data, as JSON. Go guests end their lines with a newline and say
// warn, fatal and panic; they are understood, and any other level is info.
func (l *guestLog) write(log *zap.Logger, policy string, payload []byte) {
	l.left--
	switch {
	case l.left == 0:
		log.Warn("guest log cut: too many lines in one evaluation", zap.String("policy_id", policy), zap.Int("limit", maxLogLines))
	case l.left < 0:
	case len(payload) > maxLogBytes:
		log.Warn("guest log line dropped: too long", zap.String("policy_id", policy), zap.Int("bytes", len(payload)), zap.Int("limit", maxLogBytes))
	default:
		l.writeLine(log, policy, payload)
	}
}

func (l *guestLog) writeLine(log *zap.Logger, policy string, payload []byte) {
	var event map[string]json.RawMessage
	if err := json.Unmarshal(payload, &event); err != nil {
		log.Error("Cannot log event", zap.String("policy_id", policy), zap.ByteString("payload", payload), zap.Error(err))
		return
	}
	fields := []zap.Field{zap.String("policy_id", policy)}
	level, message := levelOf(text(event["level"])), strings.TrimRight(text(event["message"]), "\n")
	delete(event, "level")
	delete(event, "message")
	if len(event) > 0 {
		data, err := json.Marshal(event)
		if err != nil {
			log.Error("Cannot log event", zap.String("policy_id", policy), zap.ByteString("payload", payload), zap.Error(err))
			return
		}
		fields = append(fields, zap.ByteString("data", data))
	}
	log.Named("policy_log").Log(level, message, fields...)
}

// text returns raw as a string: what it quotes, or itself when it is no JSON string.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return string(raw)
	}
	return s
}

func levelOf(name string) zapcore.Level {
	switch strings.ToLower(name) {
	case "trace", "debug":
		return zapcore.DebugLevel
	case "warning", "warn":
		return zapcore.WarnLevel
	case "error", "critical", "fatal", "panic":
		return zapcore.ErrorLevel
	}
	return zapcore.InfoLevel
}
