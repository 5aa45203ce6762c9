// Package load makes HTTP requests as a [Plan] says, and measures them. It does
// so in a process of its own, so that generator and measured program share
// nothing but the machine.
package load
