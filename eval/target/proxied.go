package target

import "context"

// Proxied is a proxy that asks native programs ([Serve]), in a process of its own.
type Proxied struct {
	Label   string
	About   string
	Command []string // a program that calls Serve, with its arguments
	Builder *Builder

	own
}

// Name is the label.
func (p *Proxied) Name() string { return p.Label }

// Description tells what it is.
func (p *Proxied) Description() string { return p.About }

// Protocol is [Runtime].
func (p *Proxied) Protocol() Protocol { return Runtime }

// Start starts the process.
func (p *Proxied) Start(ctx context.Context) error {
	if err := p.serve(ctx, p.Command[0], p.Command[1:]...); err != nil {
		return &UnavailableError{Target: p.Label, Err: err}
	}
	return nil
}

// Restart starts it anew: it keeps nothing.
func (p *Proxied) Restart(ctx context.Context) error { return restart(ctx, p) }

// restart is that of a target that keeps nothing.
func restart(ctx context.Context, t Target) error {
	if err := t.Settle(ctx); err != nil {
		return err
	}
	if err := t.Stop(); err != nil {
		return err
	}
	return t.Start(ctx)
}

// Action gives an action a path of its name. Native programs come in one size.
func (p *Proxied) Action(ctx context.Context, a Action) (*Deployed, error) {
	a.Size = Large
	return p.Builder.deploy(ctx, Native, a, p.url, nil)
}

// Remove ends the action's program.
func (p *Proxied) Remove(ctx context.Context, d *Deployed) error {
	return ask(ctx, destroy(p.url, d.Action))
}

// Answering is a server that answers a constant ([ServeConstant]), in a process of
// its own: the floor of every figure.
type Answering struct {
	Label   string
	Command []string // a program that calls ServeConstant

	own
}

// Name is the label.
func (c *Answering) Name() string { return c.Label }

// Description tells what it is.
func (c *Answering) Description() string {
	return "echo v4 answering a constant: the generator and the machine"
}

// Protocol is [Constant].
func (c *Answering) Protocol() Protocol { return Constant }

// Start starts the process.
func (c *Answering) Start(ctx context.Context) error {
	if err := c.serve(ctx, c.Command[0], c.Command[1:]...); err != nil {
		return &UnavailableError{Target: c.Label, Err: err}
	}
	return nil
}

// Restart starts it anew.
func (c *Answering) Restart(ctx context.Context) error { return restart(ctx, c) }

// Action answers as anything else.
func (c *Answering) Action(_ context.Context, a Action) (*Deployed, error) {
	return runtimeAction(a, c.url+"/"+a.Name, []byte("{}")), nil
}

// Remove has nothing to do.
func (c *Answering) Remove(context.Context, *Deployed) error { return nil }
