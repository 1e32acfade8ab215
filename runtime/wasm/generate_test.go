package wasm_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// FuzzRewriteValid holds that rewriting changes nothing in modules that are valid by construction,
// which random bytes almost never are: the bytes choose instructions.
func FuzzRewriteValid(f *testing.F) {
	for _, seed := range []string{"", "a loop in a loop", "\x06\x0c\x05\x0b\x04\x0a\x03\x09\x02\x08\x01\x07\x06\x0c",
		"\x05\x05\x05\x05\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f", "\x0e\x03\x0e\x05\x0d\x07\x0c\x09"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		code := (&generator{choices: choices}).module()
		if err := compiles(code); err != nil {
			t.Fatalf("the generator made what is not valid: %v\n%x", err, code)
		}
		compareTrials(t, code)
	})
}

// TestGenerated is the fuzz test on modules of a good size, always the same.
func TestGenerated(t *testing.T) {
	const modules = 150
	random := rand.NewChaCha8([32]byte{1})
	compared := 0
	for range modules {
		choices := make([]byte, 300)
		random.Read(choices)
		if compareTrials(t, (&generator{choices: choices}).module()) {
			compared++
		}
	}
	if compared < modules/4 {
		t.Errorf("only %d of %d modules end", compared, modules)
	}
}

// generator writes a valid module. Where the choices end, it makes the simplest.
type generator struct {
	choices []byte
	labels  []bool // for each block around the code being written, whether a branch to it takes no value
}

const (
	generatedFunctions = 4 // all of type (i32) -> (i32), as functions 1 to 4; 0 is imported
	generatedLocals    = 3
	generatedGlobals   = 2
)

func (g *generator) choose(n int) int {
	if len(g.choices) == 0 {
		return 0
	}
	c := int(g.choices[0])
	g.choices = g.choices[1:]
	return c % n
}

func (g *generator) module() []byte {
	var code []byte
	for range generatedFunctions {
		g.labels = []bool{false}
		body := "\x01\x02\x7f" + g.statements(4) + g.number(4) + "\x0b"
		code = append(binary.AppendUvarint(code, uint64(len(body))), body...)
	}
	return []byte(header +
		section(1, "\x04\x60\x01\x7f\x01\x7f\x60\x01\x7f\x00\x60\x01\x7f\x01\x7f\x60\x02\x7f\x7f\x02\x7f\x7f") +
		section(2, "\x01\x03env\x03log\x00\x01") +
		section(3, "\x04\x00\x00\x00\x00") +
		section(4, "\x01\x70\x00\x06") +
		section(5, "\x01\x01\x03\x05") +
		section(6, "\x02\x7f\x01\x41\x05\x0b\x7f\x01\x41\x07\x0b") +
		section(7, "\x03\x01a\x00\x01\x01b\x00\x02\x06memory\x02\x00") +
		section(9, "\x02\x00\x41\x00\x0b\x05\x01\x02\x03\x04\x00\x05\x70\x01\xd2\x03\x0b") +
		section(12, "\x01") + section(10, "\x04"+string(code)) + section(11, "\x01\x01\x08segments"))
}

func (g *generator) statements(depth int) string {
	b := ""
	for range g.choose(5) {
		b += g.statement(depth)
	}
	return b
}

// statement leaves the stack as it was.
func (g *generator) statement(depth int) string {
	if depth == 0 {
		return "\x01"
	}
	number := func() string { return g.number(depth - 1) }
	address := func() string { return number() + "\x41\xff\x07\x71" }        // and 1023
	length := func() string { return number() + "\x41\x3f\x71\x41\x0b\x74" } // and 63, by 2048
	switch g.choose(18) {
	case 1:
		return number() + "\x21" + string(byte(g.choose(generatedLocals))) // local.set
	case 2:
		return number() + "\x24" + string(byte(g.choose(generatedGlobals))) // global.set
	case 3:
		return address() + number() + "\x3a\x00\x00" // i32.store8
	case 4:
		return number() + "\x10\x00" // call of the import
	case 5:
		return g.block("\x03\x40", "", depth) // loop
	case 6: // at most eight rounds, unless the body sets the last local
		return number() + "\x41\x07\x71\x21\x02" + g.block("\x03\x40", "\x20\x02\x41\x01\x6b\x22\x02\x41\x00\x4a\x0d\x00", depth)
	case 7:
		return g.block("\x02\x40", "", depth) // block
	case 8:
		return number() + g.block("\x04\x40", "", depth) // if
	case 9:
		condition, label := number(), g.choose(len(g.labels))
		if !g.labels[len(g.labels)-1-label] {
			return condition + "\x1a"
		}
		return condition + "\x0d" + string(byte(label)) // br_if
	case 10:
		return address() + number() + length() + "\xfc\x0b\x00" // memory.fill
	case 11:
		return address() + address() + length() + "\xfc\x0a\x00\x00" // memory.copy
	case 12:
		return address() + "\x41\x02\x41\x03\xfc\x08\x00\x00" // memory.init
	case 13:
		return "\x41\x02\x41\x00\x41\x01\xfc\x0c\x01\x00" // table.init
	case 14:
		return number() + "\x41\x05\x71\xd2\x02\x26\x00" // table.set
	case 15:
		return number() + "\x04\x40" + number() + "\x0f\x0b" // if … return
	case 16:
		return number() + "\x04\x40" + number() + "\x12" + string(byte(1+g.choose(generatedFunctions))) + "\x0b" // if … return_call
	case 17:
		labels, table := g.labelsWithoutValue(), ""
		for range 1 + g.choose(4) {
			table += string(rune(labels[g.choose(len(labels))]))
		}
		return "\x02\x40" + number() + "\x0e" + string(byte(len(table)-1)) + table + "\x0b" // block … br_table
	}
	return number() + "\x1a" // drop
}

// number leaves one i32.
func (g *generator) number(depth int) string {
	if depth == 0 {
		return "\x41" + string(byte(g.choose(64)))
	}
	number := func() string { return g.number(depth - 1) }
	switch g.choose(15) {
	case 1:
		return "\x20" + string(byte(g.choose(generatedLocals))) // local.get
	case 2:
		return "\x23" + string(byte(g.choose(generatedGlobals))) // global.get
	case 3:
		return number() + number() + "\x6a" // add
	case 4:
		return number() + number() + "\x48" // lt_s
	case 5:
		return number() + number() + "\x6d" // div_s
	case 6:
		return number() + "\x41\xff\x07\x71\x2d\x00\x00" // i32.load8_u
	case 7:
		return number() + "\x10" + string(byte(1+g.choose(generatedFunctions))) // call
	case 8:
		return number() + number() + "\x41\x07\x71\x11\x00\x00" // call_indirect
	case 9:
		return g.block("\x02\x7f", number(), depth) // block with a result
	case 10:
		return g.block("\x03\x7f", number(), depth) // loop with a result
	case 11:
		return number() + g.block("\x03\x02", "", depth) // loop with a parameter and a result
	case 12:
		return "\x41\x00\x40\x00" // memory.grow
	case 13:
		return number() + "\x04\x7f" + number() + "\x05" + number() + "\x0b" // if … else
	case 14:
		return number() + number() + g.block("\x03\x03", "", depth) + "\x6a" // loop with two parameters and results; add
	}
	return "\x41" + string(byte(g.choose(64)))
}

// labelsWithoutValue lists the labels to which a branch takes no value, as they are within one
// block more. That block is the first.
func (g *generator) labelsWithoutValue() []byte {
	labels := []byte{0}
	for i := range g.labels {
		if g.labels[len(g.labels)-1-i] {
			labels = append(labels, byte(i+1))
		}
	}
	return labels
}

// block writes a block that ends with the given code.
func (g *generator) block(open, last string, depth int) string {
	noValue := open[1] == 0x40 || open == "\x03\x7f"
	g.labels = append(g.labels, noValue)
	body := g.statements(depth - 1)
	g.labels = g.labels[:len(g.labels)-1]
	return open + body + last + "\x0b"
}
