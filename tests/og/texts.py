"""Titles in many scripts, and titles that try to break a card."""

from __future__ import annotations

HEADINGS = {
    "English": "Ship the product, not the plumbing around it",
    "German": "Donaudampfschifffahrtsgesellschaftskapitänsmützenfabrik eröffnet",
    "Russian": "Быстрые карточки для ссылок, которые не ломаются",
    "Greek": "Γρήγορες κάρτες για κάθε σύνδεσμο",
    "Vietnamese": "Thẻ chia sẻ nhanh, đẹp và không bao giờ hỏng",
    "Turkish": "İstanbul'da ışıltılı bir başlangıç",
    "Arabic": "بطاقات المشاركة التي لا تنكسر أبدا مع Flask 3.1",
    "Hebrew": "שלום עולם: כרטיסי שיתוף (2026)",
    "Hindi": "हिन्दी में सुंदर शीर्षक और स्पष्ट अक्षर",
    "Bengali": "বাংলা শিরোনাম সুন্দরভাবে সাজানো",
    "Thai": "การ์ดแชร์ที่อ่านง่ายในทุกภาษาและไม่เคยพัง",
    "Japanese": "美しい日本語の見出しを、どんな長さでもきれいに表示する方法について",
    "Chinese": "快速、清晰、永不出错的分享卡片,支持所有文字",
    "Korean": "모든 문자를 올바르게 그리는 공유 카드",
    "emoji": "Ship it 🚀 with 👩🏽‍💻 and 🇩🇪🇯🇵 ❤️ today",
    "mixed": "Flask と Pillow で作る שלום cards 🎉",
}


PRANKS = {
    "500 characters without a space": "x" * 500,
    "500 ideographs": "漢" * 500,
    "zero-width characters": "a\u200b\u200d\ufeff\u200cb" * 50,
    "10,000 combining marks": "a" + "\u0301" * 10_000,
    "marks alone": "\u0301" * 50,
    "bidi overrides": "\u202egnp.exe\u202c \u2066x\u2069",
    "NUL": "a\x00b",
    "lone surrogates": "a\ud800b\udfff",
    "one word after another": "word " * 100,
    "joiners alone": "\u200d" * 100,
}
