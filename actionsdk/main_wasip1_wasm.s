// Package actionsdk declares main.main without a body: the compiler takes that
// only where there is an assembly file.
