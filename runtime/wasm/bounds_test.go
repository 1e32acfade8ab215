package wasm_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"policy-server/runtime/wasm"
)

// functions returns a module with a memory and functions of the type (i32) -> () that all have this
// body.
func functions(n int, body string) string {
	one := leb(len(body)) + body
	return header + section(1, "\x01\x60\x01\x7f\x00") + section(3, leb(n)+strings.Repeat("\x00", n)) +
		section(5, "\x01\x00\x01") + section(10, leb(n)+strings.Repeat(one, n))
}

const (
	noLocals = "\x00"
	end      = "\x0b"
	block    = "\x02\x40"
	loop     = "\x03\x40"
	fill     = "\x41\x00\x41\x00\x20\x00\xfc\x0b\x00" // as much as the parameter says
)

func locals(n int) string { return "\x01" + leb(n) + "\x7f" }

// nested is n blocks within each other.
func nested(n int, open string) string { return strings.Repeat(open, n) + strings.Repeat(end, n) }

// table is a br_table of n targets besides the default, in a block.
func table(n int) string {
	return block + "\x20\x00\x0e" + leb(n) + strings.Repeat("\x00", n+1) + end
}

// TestRewrite_bounds holds each bound from both sides, and that the small modules are refused that
// kept a compiler busy for minutes, or took gigabytes of it.
func TestRewrite_bounds(t *testing.T) {
	for name, c := range map[string]struct{ module, want string }{
		"nesting":            {functions(1, noLocals+nested(9_999, block)+end), ""},
		"too much nesting":   {functions(1, noLocals+nested(10_000, block)+end), "function 0 has 10001 blocks within each other; at most 10000"},
		"targets":            {functions(1, noLocals+table(65_519)+end), ""},
		"too many targets":   {functions(1, noLocals+table(60_000)+table(5_519)+end), "function 0 has 65521 branch table targets; at most 65520"},
		"fills":              {functions(1, noLocals+strings.Repeat(fill, 4_096)+end), ""},
		"too many fills":     {functions(2, noLocals+strings.Repeat(fill, 4_097)+end), "function 0 has 4097 instructions that fill or copy; at most 4096"},
		"crossings":          {functions(1, locals(999)+strings.Repeat(block+end, 4_000)+end), ""},
		"too many crossings": {functions(1, locals(1_000)+strings.Repeat(block+end, 4_000)+end), "function 0 has 4004000 blocks times locals; at most 4000000"},
		"loops in a row":     {functions(1, locals(199)+strings.Repeat(nested(2, loop), 2_000)+end), ""},
		"loops in loops":     {functions(1, locals(199)+nested(565, loop)+end), ""},
		"too many in loops":  {functions(1, locals(199)+nested(566, loop)+end), "function 0 has 32092200 loops within each other times locals; at most 32000000"},
		"locals":             {functions(200, locals(50_000)+end), ""},
		"too many locals":    {functions(1, locals(50_001)+end), "function declares 50001 locals; at most 50000"},
		"too many in all":    {functions(201, locals(50_000)+end), "functions declare more than 10000000 locals together"},
		"size":               {functions(1, noLocals+strings.Repeat("\x01", 2<<20-2)+end), ""},
		"too much size":      {functions(1, noLocals+strings.Repeat("\x01", 2<<20-1)+end), "function has 2097153 bytes; at most 2097152"},
		"bomb of locals":     {functions(100_000, locals(50_000)+end), "functions declare more than 10000000 locals together"},
		"bomb of nesting":    {functions(1, noLocals+nested(100_000, block)+end), "function 0 has 100001 blocks within each other; at most 10000"},
		"bomb of loops":      {functions(1, locals(1_000)+nested(2_000, loop)+end), "function 0 has 2003001000 loops within each other times locals; at most 32000000"},
		"bomb of targets":    {functions(1, noLocals+strings.Repeat(table(20_000), 200)+end), "function has 4002002 bytes; at most 2097152"},
		"bomb of fills":      {functions(1, noLocals+strings.Repeat(fill, 12_500)+end), "function 0 has 12500 instructions that fill or copy; at most 4096"},
		"what a function nests counts for it alone": {functions(3, noLocals+nested(9_999, block)+end), ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := parse(t, c.module)
			err := m.CheckCounts()
			if err == nil {
				_, err = wasm.Rewrite([]byte(c.module), wasm.Options{Meter: meter(100)})
			}
			var format *wasm.FormatError
			if got := text(err); !strings.HasSuffix(got, c.want) || (c.want == "") != (got == "") || err != nil && !errors.As(err, &format) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// FuzzBounds makes functions of any shape and holds that one is refused just when an independent
// count of it is beyond a bound, and that what is rewritten does not grow beyond a multiple.
func FuzzBounds(f *testing.F) {
	for _, shape := range []string{
		"", "b\x10", "l\x20\x00c\x01", "B\xff\xffc\x80", "L\x20i\x20l\x20e\x05", "t\x40T\xff\xffT\x10", "f\x40F\x1f", "v\xff\x00V\xc3b\x10l\x10",
		strings.Repeat("L\xff", 9) + "V\x10",
	} {
		f.Add([]byte(shape))
	}
	f.Fuzz(func(t *testing.T, shape []byte) {
		if len(shape) > 64 {
			return // it is the numbers that make it large
		}
		s := shapeOf(shape)
		module := functions(1, s.body())
		err := parse(t, module).CheckCounts()
		var r wasm.Rewritten
		if err == nil {
			r, err = wasm.Rewrite([]byte(module), wasm.Options{Meter: meter(100)})
		}
		if refused, why := err != nil, s.excess(); refused != (why != "") {
			t.Fatalf("error %v, and by count: %q", err, why)
		}
		if most := 16*len(module) + 4096; len(r.Code) > most {
			t.Errorf("%d bytes became %d", len(module), len(r.Code))
		}
	})
}

// shape is a function in the making, and what is counted of it.
type shape struct {
	code                                            strings.Builder
	open                                            []int // for each open block how many loops are open in it, with itself
	locals, nesting, blocks, targets, fills, looped int
}

// shapeOf reads pairs of a letter and a number: what to add, and how many; a capital letter means
// 64 times as many.
func shapeOf(b []byte) *shape {
	s := &shape{open: []int{0}, nesting: 1}
	for ; len(b) >= 2; b = b[2:] {
		letter, n := b[0], int(b[1])
		if letter >= 'A' && letter <= 'Z' {
			letter, n = letter+'a'-'A', n*64
		}
		if letter == 't' {
			s.targets += n + 1
			s.code.WriteString(table(n))
			s.blocks++
			s.nesting = max(s.nesting, len(s.open)+1)
			continue
		}
		for range n {
			s.add(letter)
		}
	}
	return s
}

func (s *shape) add(letter byte) {
	switch letter {
	case 'b':
		s.enter(block, false)
	case 'i':
		s.enter("\x20\x00\x04\x40", false)
	case 'l':
		s.enter(loop, true)
	case 'e': // the innermost block ends
		if len(s.open) > 1 {
			s.open = s.open[:len(s.open)-1]
			s.code.WriteString(end)
		}
	case 'f':
		s.fills++
		s.code.WriteString(fill)
	case 'v':
		s.locals++
	}
}

func (s *shape) enter(code string, isLoop bool) {
	loops := s.open[len(s.open)-1]
	if isLoop {
		loops++
		s.looped += loops
	}
	s.open = append(s.open, loops)
	s.code.WriteString(code)
	s.blocks++
	s.nesting = max(s.nesting, len(s.open))
}

func (s *shape) body() string {
	return locals(s.locals) + s.code.String() + strings.Repeat(end, len(s.open))
}

// excess names what is beyond its bound; empty if nothing is.
func (s *shape) excess() string {
	all := s.locals + 1 // with the parameter
	for name, over := range map[string]bool{
		"nesting": s.nesting > 10_000, "targets": s.targets > 65_520, "fills": s.fills > 4_096, "crossings": s.blocks*all > 4_000_000,
		"loops": s.looped*all > 32_000_000, "locals": s.locals > 50_000, "size": len(s.body()) > 2<<20,
	} {
		if over {
			return fmt.Sprint(name, " ", s)
		}
	}
	return ""
}
