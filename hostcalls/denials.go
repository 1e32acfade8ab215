package hostcalls

import "go.uber.org/zap"

// A guest may go on asking for what it was not granted, by whatever name, so what the log has of
// that is bounded: lines an evaluation, and bytes of a name. The first few tell the operator as
// much as thousands would.
const (
	maxDenials    = 10
	maxDeniedName = 256
)

// denials counts the lines about denied calls that an evaluation may still write.
type denials struct{ left int }

// write logs that a policy was denied something.
func (d *denials) write(log *zap.Logger, policy, message string, fields ...zap.Field) {
	d.left--
	switch {
	case d.left == 0:
		log.Warn("further violations are not logged: too many in one evaluation", zap.String("policy_id", policy), zap.Int("limit", maxDenials))
	case d.left > 0:
		log.Error(message, append([]zap.Field{zap.String("policy_id", policy)}, fields...)...)
	}
}

// deniedName is a log field for the name a guest used.
func deniedName(key, name string) zap.Field {
	return zap.String(key, name[:min(len(name), maxDeniedName)])
}
