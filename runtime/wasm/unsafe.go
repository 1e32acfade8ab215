package wasm

import (
	"fmt"
	"slices"
)

// graph is which function calls which, to tell what runs at start-up only.
type graph struct {
	roots []uint32            // functions that may be called from outside or by reference
	calls map[uint32][]uint32 // by caller
	at    uint32              // the function whose calls are being read
}

func (g *graph) enter(function uint32) { g.at = function }

func (g *graph) root(function uint32) { g.roots = append(g.roots, function) }

func (g *graph) call(callee uint32) {
	if g.calls == nil {
		g.calls = map[uint32][]uint32{}
	}
	g.calls[g.at] = append(g.calls[g.at], callee)
}

// reached returns for each of n functions whether it can run other than by the module's start
// function.
func (g *graph) reached(n int) []bool {
	seen := make([]bool, n)
	for todo := g.roots; len(todo) > 0; {
		f := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !seen[f] {
			seen[f] = true
			todo = append(todo, g.calls[f]...)
		}
	}
	return seen
}

// sighting is an instruction that changes what neither memory nor number globals hold.
type sighting struct {
	function uint32
	offset   int // in the file
	op       opcode
	global   uint32 // of global.set
}

func (w *rewriter) sight(s sighting) { w.sightings = append(w.sightings, s) }

// report lists what is outside of an image, or may become so while a request runs.
func (w *rewriter) report() []string {
	const most = 10 // a module full of them is as unsafe as one with ten
	reasons := w.sharedState()
	reached := w.graph.reached(w.spaces.functions)
	sightings := slices.DeleteFunc(w.sightings, func(s sighting) bool { return !reached[s.function] })
	for i, s := range sightings {
		if i == most {
			reasons = append(reasons, fmt.Sprintf("%d more instructions of this kind", len(sightings)-most))
			break
		}
		what := s.op.String()
		if s.op == opGlobalSet {
			what += fmt.Sprintf(" of global %d of type %s", s.global, w.spaces.globals[s.global].kind)
		}
		reasons = append(reasons, fmt.Sprintf("%s in function %d at offset %#x", what, s.function, s.offset))
	}
	return reasons
}

// sharedState lists the imports through which others can change what the module works with.
func (w *rewriter) sharedState() []string {
	var reasons []string
	globals := 0
	for _, im := range w.m.imports {
		what := ""
		switch im.Kind {
		case Table:
			what = "imported table"
		case Memory:
			if w.options.KeepMemoryImport {
				what = "imported memory"
			}
		case Global:
			if w.spaces.globals[globals].mutable {
				what = "imported mutable global"
			}
			globals++
		}
		if what != "" {
			reasons = append(reasons, fmt.Sprintf("%s %q %q", what, im.Module, im.Name))
		}
	}
	return reasons
}
