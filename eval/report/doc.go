// Package report makes what people read of an evaluation: a page that needs
// nothing beside it, its plots as files, tables in Markdown, and the comparison of
// two runs. It knows a [result.Run] and nothing of how it was measured.
//
// What a page shows of a quantity is the median of all samples, their quartiles,
// and the range of the medians of the rounds, which is the spread of the figure.
// Ratios are those of medians, with the range that the rounds of both sides allow.
package report
