package runtime

import (
	"crypto/sha256"
	"sync"

	"policy-server/runtime/sandbox"
)

// codeKey is what compiled code is shared by: the module's own bytes, and how they are spoken to.
type codeKey struct {
	protocol Protocol
	digest   [sha256.Size]byte
}

// sharedCode is compiled code with those who use it.
type sharedCode struct {
	key     codeKey
	compile func() (*sandbox.Program, error) // once, for all
	users   int                              // under Engine.mu
}

// share returns the code for key, compiling it unless somebody has, or is about to: then it waits.
// Each caller that gets it leaves it once.
func (e *Engine) share(key codeKey, compile func() (*sandbox.Program, error)) (*Module, error) {
	e.mu.Lock()
	code, found := e.codes[key]
	if !found {
		code = &sharedCode{key: key, compile: sync.OnceValues(compile)}
		e.codes[key] = code
	}
	code.users++
	e.mu.Unlock()
	program, err := code.compile()
	if err != nil {
		e.leave(code)
		return nil, err
	}
	if found {
		e.countShared()
	}
	return &Module{program: program, protocol: protocols()[key.protocol], leave: sync.OnceValue(func() bool { return e.leave(code) })}, nil
}

func (e *Engine) countShared() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.shared++
}

// leave counts one user out and reports whether that was the last one.
func (e *Engine) leave(code *sharedCode) (last bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if code.users--; code.users > 0 {
		return false
	}
	if e.codes[code.key] == code {
		delete(e.codes, code.key)
	}
	return true
}
