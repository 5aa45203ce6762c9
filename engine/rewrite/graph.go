package rewrite

// A graph is who calls whom. Its nodes are the functions and, for call_indirect,
// the types of functions: a call of some type leads to every function of that
// type that may be in a table.
type graph struct {
	m      *module
	bodies []body
	types  []int32   // node by type index; equal types share one
	taken  [][]int32 // functions by the node of their type
	alien  bool      // tables may hold functions that are not of this module

	nodes []node
	open  []int32 // nodes whose component is not complete
	path  []step
	count int32
}

// A node has the state of Tarjan's algorithm, and what is known of the calls
// from it on once its component is complete.
type node struct {
	order, low int32 // order is 0 before the first visit
	done       bool
	deep       bool   // calls may nest without a bound, or use more of the stack than slack
	stack      uint32 // bytes that it uses, unless deep
}

type step struct{ node, next int32 }

// slack is how much native stack, in bytes, functions without a check of it may
// need together.
const slack = 512

func newGraph(m *module) *graph {
	g := &graph{m: m, types: make([]int32, len(m.types)), alien: m.imported[kindTable] > 0}
	next := int32(len(m.funcs))
	byKey := make(map[string]int32, len(m.types))
	for i, t := range m.types {
		if _, ok := byKey[t.key]; !ok {
			byKey[t.key] = next
			next++
		}
		g.types[i] = byKey[t.key]
	}
	g.nodes = make([]node, next)
	return g
}

func (g *graph) function(f uint32) int32 { return int32(f) }
func (g *graph) indirect(t uint32) int32 { return g.types[t] }

// resolve finds out which functions have to check the stack.
func (g *graph) resolve(bodies []body) {
	g.bodies = bodies
	g.taken = make([][]int32, len(g.nodes)-len(g.m.funcs))
	for f, taken := range g.m.taken {
		if taken {
			t := g.types[g.m.funcs[f]] - int32(len(g.m.funcs))
			g.taken[t] = append(g.taken[t], int32(f))
		}
	}
	for i := range g.nodes {
		if g.nodes[i].order == 0 {
			g.visit(int32(i))
		}
	}
}

// callee gives the i-th call from a node.
func (g *graph) callee(n, i int32) (int32, bool) {
	if b := g.body(n); b != nil {
		if int(i) < len(b.callees) {
			return b.callees[i], true
		}
		return 0, false
	}
	if t := int(n) - len(g.m.funcs); t >= 0 && int(i) < len(g.taken[t]) {
		return g.taken[t][i], true
	}
	return 0, false
}

// body is that of a node, nil if it is an imported function or a type.
func (g *graph) body(n int32) *body {
	if i := int(n) - int(g.m.imports()); i >= 0 && i < len(g.bodies) {
		return &g.bodies[i]
	}
	return nil
}

// visit runs Tarjan's algorithm from a node, without recursion: calls of a
// hostile module nest as deep as it likes.
func (g *graph) visit(root int32) {
	g.enter(root)
	for len(g.path) > 0 {
		top := &g.path[len(g.path)-1]
		callee, ok := g.callee(top.node, top.next)
		top.next++
		switch n := &g.nodes[top.node]; {
		case !ok:
			g.leave(top.node)
		case g.nodes[callee].order == 0:
			g.enter(callee)
		case !g.nodes[callee].done:
			n.low = min(n.low, g.nodes[callee].order)
		}
	}
}

func (g *graph) enter(n int32) {
	g.count++
	g.nodes[n].order, g.nodes[n].low = g.count, g.count
	g.open = append(g.open, n)
	g.path = append(g.path, step{node: n})
}

func (g *graph) leave(n int32) {
	g.path = g.path[:len(g.path)-1]
	if len(g.path) > 0 {
		caller := &g.nodes[g.path[len(g.path)-1].node]
		caller.low = min(caller.low, g.nodes[n].low)
	}
	if g.nodes[n].low != g.nodes[n].order {
		return
	}
	from := len(g.open) - 1
	for g.open[from] != n {
		from--
	}
	g.complete(g.open[from:])
	g.open = g.open[:from]
}

// complete judges a component whose callees are judged already. Its own members
// are not: a cycle is deep as a whole.
func (g *graph) complete(component []int32) {
	cyclic := len(component) > 1 || g.callsItself(component[0])
	for _, n := range component {
		g.nodes[n].deep = cyclic
	}
	for _, n := range component {
		g.judge(n)
		g.nodes[n].done = true
	}
}

func (g *graph) callsItself(n int32) bool {
	for i := int32(0); ; i++ {
		callee, ok := g.callee(n, i)
		if !ok {
			return false
		}
		if callee == n {
			return true
		}
	}
}

func (g *graph) judge(n int32) {
	switch b := g.body(n); {
	case b != nil:
		g.judgeBody(&g.nodes[n], b)
	case int(n) < len(g.m.funcs):
		g.nodes[n].deep = true // the host may call back
	default:
		g.judgeType(n)
	}
}

func (g *graph) judgeType(n int32) {
	t := &g.nodes[n]
	t.deep = t.deep || g.alien
	for _, f := range g.taken[int(n)-len(g.m.funcs)] {
		callee := &g.nodes[f]
		t.deep = t.deep || callee.deep
		t.stack = max(t.stack, callee.stack)
	}
}

func (g *graph) judgeBody(n *node, b *body) {
	n.stack = b.frame
	for _, c := range b.callees {
		callee := &g.nodes[c]
		n.deep = n.deep || callee.deep
		n.stack = max(n.stack, b.frame+callee.stack)
	}
	n.deep = n.deep || n.stack > slack
	b.deep = n.deep
}
