// What the server has written into this page: the chapters of the rail, and how the sliders move what each verb takes.

/**
 * @typedef {{ min: number, max: number, step: number, coarse: number, start: number }} Slide
 * @typedef {{ name: string, page: string, words: Record<string, { name: string, question: string }> }} Chapter
 * @type {{ chapters: Chapter[], sliders: Record<string, Record<string, Slide>> }}
 */
export const lab = JSON.parse(document.getElementById("lab")?.textContent ?? "{}");
