package sdk

// Debug writes to the host's log at level debug. keyValues alternate between names and values of
// structured data; a name without value gets an empty one. The host adds the policy's name and the
// request's id. Logging needs no grant and never fails; what the host cannot take is lost.
func Debug(message string, keyValues ...string) { log("debug", message, keyValues) }

// Info writes to the host's log at level info, as Debug does.
func Info(message string, keyValues ...string) { log("info", message, keyValues) }

// Warn writes to the host's log at level warning, as Debug does.
func Warn(message string, keyValues ...string) { log("warning", message, keyValues) }

// Error writes to the host's log at level error, as Debug does.
func Error(message string, keyValues ...string) { log("error", message, keyValues) }

// log makes the host call tracing/log: {"level": …, "message": …, and the structured data beside
// them}.
func log(level, message string, keyValues []string) {
	record := appendQuoted([]byte(`{"level":"`+level+`","message":`), message)
	for i := 0; i < len(keyValues); i += 2 {
		name, value := keyValues[i], ""
		if i+1 < len(keyValues) {
			value = keyValues[i+1]
		}
		if name == "level" || name == "message" {
			name += "_" // those two are the record's own, and a name that comes twice spoils it
		}
		record = appendQuoted(append(record, ','), name)
		record = appendQuoted(append(record, ':'), value)
	}
	// The host answers nothing, and a policy cannot tell that its log is gone.
	_, _ = HostCall("tracing", "log", Value{string(append(record, '}'))})
}
